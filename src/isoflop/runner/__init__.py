"""One run from its configuration to its records: training and metering meet here."""
