// What the commands about tasks and about groups share.
#pragma once

#include <string>
#include <string_view>

#include <unistd.h>

#include "base/ids.h"
#include "cli/command.h"

namespace gantry::cli {

/// A task's or group's id as it was typed. Throws UsageError.
std::string slug_argument(const Arguments& arguments, std::string_view name, std::string_view what,
                          std::string_view hint);

/// The argument PRIORITY, and the request's body that says it.
Argument priority_argument();
std::string priority_body(const Arguments& arguments);

}  // namespace gantry::cli
