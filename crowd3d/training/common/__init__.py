"""What several trainings share: recipes, run folders, schedules, noise."""
