"""The figures: tables that reconcile, from the record's codes and times alone, and the documents that show them."""
