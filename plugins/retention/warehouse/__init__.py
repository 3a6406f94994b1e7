"""The warehouse's books and rooms: schemas, roles, batches, loads, lease."""
