"""What runs with each commit's packages: it uses what users see, and nothing else of them."""
