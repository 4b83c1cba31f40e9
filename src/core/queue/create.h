// A task enters the queue.
#pragma once

#include "base/error.h"
#include "core/state/transaction.h"
#include "wire/task_definition.h"

namespace gantry::queue {

/// Creates the task as pending and stores its definition. The same id with an equal definition changes nothing and
/// succeeds; with another definition it is a conflict. The id must not be a cold task: load it first.
/// Errors: invalid_input (times), conflict.
Result<const state::Task*> create(state::Transaction& tx, TaskId id, const wire::TaskDefinition& definition);

}  // namespace gantry::queue
