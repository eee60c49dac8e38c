"""How fast it is: beside other libraries, beside loops without abstractions, and where the time goes."""
