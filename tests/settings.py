"""Django's settings for the tests: the product's own, on a data folder of their own that goes with the test run.

In: the environment, less the developer's PAAS_ settings.  Out: module constants that Django reads.
"""

import atexit
import os
import shutil
import tempfile

for _name in [name for name in os.environ if name.startswith("PAAS_") and not name.startswith("PAAS_TEST_")]:
    del os.environ[_name]
# Short: Redis' socket lies in it. In the environment: the processes that tests start belong to the same folder.
os.environ["PAAS_HOME"] = tempfile.mkdtemp(prefix="p", dir="/tmp")
os.environ["PAAS_STACK"] = "host"
atexit.register(shutil.rmtree, os.environ["PAAS_HOME"], ignore_errors=True)

from paas.settings import *  # noqa: E402, F403
from paas.settings import DATABASES, MIDDLEWARE  # noqa: E402

# Django's test servers speak no TLS: this says in its place who a machine is.
MIDDLEWARE = ["tests.machine_stand_in.MachineStandIn", *MIDDLEWARE]

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file as in production: a database in memory has other locks, and nothing at rest to look into.
    DATABASES["default"]["TEST"] = {"NAME": f"{os.environ['PAAS_HOME']}/test.sqlite3"}
