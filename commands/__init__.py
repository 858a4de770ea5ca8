"""What the operator can say to Acuse, one module for each concern; main.py registers them."""
