"""How many incidents are found, how soon, and at how many false pages: burstbench on the product's own replay."""
