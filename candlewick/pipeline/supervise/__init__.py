"""Processes under one supervisor: started, watched, restarted, stopped in order."""
