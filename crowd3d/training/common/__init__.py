"""What several trainings share: recipes, run folders, schedules, errors of 2D poses."""
