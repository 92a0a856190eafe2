"""What a report says in words and tables: the verdict, its caveats, prices, origins."""
