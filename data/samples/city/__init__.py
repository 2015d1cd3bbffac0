"""Fairwater, a made-up city: one module a layer, each built on the ones before it.

    plane -> ground -> streets -> places -> blocks -> incidents -> calls -> traffic -> reads -> records -> write

Nothing here exists: streets, people, plates, telephone numbers and offences are invented by a seeded generator. Each stage draws from
its own random stream (`plane.stream`), so that adding a stage, or drawing more in one, leaves every other file as it was.
"""
