"""Published data sets as this project reads them: one file a data set."""
