"""`python -m pg_agents` is `pg-agents`."""

import sys

from pg_agents.cli import main

if __name__ == "__main__":
    sys.exit(main())
