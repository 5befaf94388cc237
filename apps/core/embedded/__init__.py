from pathlib import Path
from collections import namedtuple
import os, contextlib
RedisUrls = namedtuple("RedisUrls", "cache broker")
def data_dir(): return Path(os.environ.get("PORTAL_DATA_DIR") or Path(__file__).resolve().parents[3]/"var").absolute()
def postgres_url(role): return f"postgresql://portal_{role}@%2Ftmp%2Fpgs/portal_{Path(__file__).resolve().parents[3].name}"
def redis_urls(url): return RedisUrls("unix:///tmp/pgs/v.sock?db=0", "redis+socket:///tmp/pgs/v.sock?virtual_host=1")
@contextlib.contextmanager
def servers_for(argv): yield
