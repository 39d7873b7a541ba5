"""rolling"""
