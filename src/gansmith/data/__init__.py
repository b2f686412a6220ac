"""Pictures in: data sets, readers, order and batches."""
