"""`python -m benchmarks bits OLD NEW`: do two commits behave the same, bit for bit?"""
