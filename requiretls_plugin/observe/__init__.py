"""Observers: what operators see. Plugins like any other."""
