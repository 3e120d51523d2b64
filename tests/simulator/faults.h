// Faults: what befalls disks, processes and lines in the safety phase, and their repair.
// Threads: one owner.
#pragma once
#include "tests/simulator/world.h"

namespace dozo::simulator {

/// One fault, or nothing.
void befall(World& world);
/// Everything runs, every line is good, every disk has room, damage is repaired or its node made anew.
void heal(World& world);

}  // namespace dozo::simulator
