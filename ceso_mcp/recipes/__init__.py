"""Recipes: sequences of steps that several operations share."""
