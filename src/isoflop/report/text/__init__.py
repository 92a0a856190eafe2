"""The text and tables of a report: the verdict, its caveats, prices, provenance."""
