"""WHAT to run: tasks, placeholders, workflows, plans. Values only."""
