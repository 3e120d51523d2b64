// Memory that runs out ends the program, at one place: one line, one status, whichever thread it was (docs/decisions/0010).
//
// Not here: sizes that others name. Those are refused before anything is allocated (archive.h, and the bounds of each format).
// Threads: any, after end_when_out_of_memory.
#pragma once

namespace dozo {

/// From now on: `line` goes to standard error and the process ends with this status, without unwinding. Once, at the start of main. `line` lives on.
void end_when_out_of_memory(const char* line, int status);

/// A library could not allocate what it needed. Ends the program, or throws std::bad_alloc where nobody said how it should end.
[[noreturn]] void out_of_memory();

}  // namespace dozo
