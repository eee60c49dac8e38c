"""What each trick of `pg_agents._fast` saves: its plain twin is put in its place, and both run in turns."""
