#include "sim/faults.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::sim {

Result<Faults> Faults::parse(std::string_view text) {
  Faults faults;
  if (text == "all") faults.on_.fill(true);
  if (text == "all" || text == "none") return faults;
  while (!text.empty()) {
    std::size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    auto found = std::ranges::find(fault_table, name, &FaultInfo::name);
    if (found == std::end(fault_table)) {
      return Error(ErrorCode::invalid_input, fmt::format("there is no fault \"{}\"", name), "see --list-faults");
    }
    faults.on_[static_cast<std::size_t>(found->fault)] = true;
  }
  return faults;
}

}  // namespace gantry::sim
