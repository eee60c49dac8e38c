"""The loop: collect, learn, evaluate, write down."""
