// Runs a program of the machine and waits for it. Blocks: only on the blocking pool (Env::blocking). Any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/time.h"

namespace gantry::agent {

struct ProgramResult {
  int exit_code = 0;   // 128 + the signal, if one has ended it
  std::string output;  // stdout and stderr as they came, program_output_bytes_max of them
};

inline constexpr std::size_t program_output_bytes_max = 1 << 20;

/// `words` are the program, looked for in $PATH and the folders for administrators, and its arguments; no shell reads
/// them. Its input is empty. Throws Error: not_found if there is no such program, unavailable if it cannot be started,
/// deadline_exceeded after `limit`: it has been killed then.
ProgramResult run_program(const std::vector<std::string>& words, Duration limit);

using ProgramRunner = std::function<ProgramResult(const std::vector<std::string>&)>;

}  // namespace gantry::agent
