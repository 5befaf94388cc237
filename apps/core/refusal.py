"""What is said to a sender whose input cannot be taken: one exception, so that every door answers in one form."""


class Refused(Exception):
    """Input that is not taken. A door answers with `status`; a drain sets the item aside under `code`.

    `code` is for machines, `field` is a path such as `items[2].length` (empty: the whole), `message` is for people and
    never repeats what the sender wrote beyond a short, known word.
    """

    status = 400

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.message = message


class TooManyLarge(OSError):
    """Reading a body: this process holds as many large ones as it may."""
