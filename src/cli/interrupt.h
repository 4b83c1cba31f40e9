// Ctrl-C and SIGTERM as the command line treats them: the first one asks, the second ends the program at once, whatever
// it is doing. A command that has two things to be asked for takes the second one, too, and the third ends it.
#pragma once

#include <memory>

#include "base/env.h"

namespace gantry::cli {

class Interrupts {
 public:
  /// Takes the signals over at once, also where the parent ignored them (a shell's background job does that to SIGINT).
  /// Call it first in a command; one object a process.
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  bool requested() const { return count() > 0; }
  /// Signals so far.
  int count() const;
  /// So many signals ask; the next one ends the program.
  void let_ask(int signals);
  /// Until so many signals have come.
  Async<> wait(Env& env, int signals = 1);

 private:
  struct Pipe;
  std::unique_ptr<Pipe> pipe_;
};

}  // namespace gantry::cli
