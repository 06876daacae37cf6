"""`midstream replay`: recorded exchanges through the same inspection, guard and engine that serve traffic.

`recordings` is what was recorded; `flows`, `har` and `corpus` read it from files; `player` plays one exchange;
`against` compares two policies; `report` writes what happened; `run` goes through the files on several cores.
"""
