"""Work on a second connection, for tests in which two workers meet."""

import threading

from django.db import connection

# Of this database alone: others on the same server are other workers of a parallel run.
WAITING = """
SELECT count(*) FROM pg_locks waiting WHERE NOT granted AND EXISTS (
  SELECT 1 FROM pg_locks held JOIN pg_database d ON d.oid = held.database
  WHERE held.pid = waiting.pid AND d.datname = current_database())
"""


class Beside:
    """Work on a thread with its own connection; what it raised is raised by `done`, which gives what it returned."""

    def __init__(self, work):
        self.work, self.raised, self.result = work, [], None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.result = self.work()
        except BaseException as error:
            self.raised.append(error)
        finally:
            connection.close()

    def waits(self):
        """Whether it comes to wait for a lock, before it ends."""
        while self.thread.is_alive():
            with connection.cursor() as cursor:
                cursor.execute(WAITING)
                if cursor.fetchone()[0]:
                    return True
            self.thread.join(0.01)
        return False

    def done(self):
        self.thread.join(20)
        assert not self.thread.is_alive(), "it still waits for a lock"
        if self.raised:
            raise self.raised[0]
        return self.result
