// What an entry of payload.encryptedEnv says once it has been decrypted (taskcluster.md 1.12). Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "base/time.h"

namespace gantry::agent {

struct SecretVariable {
  std::string name;
  std::string value;
};

/// Reads `{"messageVersion": 1, "taskId", "startTime", "endTime", "name", "value"}` (milliseconds since 1970). It must
/// be meant for this task and this moment, and set none of the `taken` variables and none of the agent's own. Errors
/// (invalid_input) never repeat anything of the text.
Result<SecretVariable> read_secret_variable(std::string_view text, const TaskId& task, Time now,
                                            const std::set<std::string>& taken);

}  // namespace gantry::agent
