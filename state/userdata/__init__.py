"""What users set: names, folders and git facts. The journal comes first, rows second."""
