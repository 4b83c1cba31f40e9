// `gantry agent --root-url`: work for the queue of a foreign Taskcluster (docs/taskcluster-worker.md).
#pragma once

#include <vector>

#include "agent/settings.h"
#include "cli/parser.h"
#include "wire/join_messages.h"

namespace gantry::cli {

std::vector<Option> foreign_options();

/// Whether such a queue is meant: --root-url, or $TASKCLUSTER_ROOT_URL if no other server is named. Its URL; else
/// empty.
std::string foreign_url(const Arguments& arguments);

/// What the options say of it. Throws UsageError.
agent::ForeignSettings foreign_settings(const Arguments& arguments);

/// Who the worker is there, with credentials from $TASKCLUSTER_CLIENT_ID, $TASKCLUSTER_ACCESS_TOKEN and
/// $TASKCLUSTER_CERTIFICATE. `name`: of the worker if --worker-id does not say. Throws UsageError.
wire::Enrolment foreign_enrolment(const Arguments& arguments, const std::string& name);

}  // namespace gantry::cli
