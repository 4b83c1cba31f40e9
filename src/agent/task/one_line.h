// Text from elsewhere, as it goes into a line of a run's log: what readers take for the agent's must not look like the
// task's own output from its second line on.
#pragma once

#include <algorithm>
#include <string>

namespace gantry::agent {

inline std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

}  // namespace gantry::agent
