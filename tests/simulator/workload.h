// Workload: what people and HQ do in a simulated realm: saves, moves, deletions, resolutions, reading, publications.
// Threads: one owner.
#pragma once
#include "tests/simulator/world.h"

namespace dozo::simulator {

/// One act of somebody somewhere.
void act(World& world);
/// A small save, begun and committed at once.
void save_in(World& world, Process& node, const std::string& library);
/// The second half of a save that is open at this node. Nothing where there is none.
void finish_save(World& world, Process& node);
/// Asks a node who holds a library, and notes what it promises.
void note_promises(World& world, Process& node, const std::string& library);
/// Reads everything that a node shows of a library, to the last byte. What is wrong with it; empty: nothing.
std::string read_all(World& world, Process& node, const std::string& library);

}  // namespace dozo::simulator
