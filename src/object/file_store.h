// Objects in a directory of the local disk: the embedded default.
//
//   <directory>/lock               held by the one process that uses the directory
//   <directory>/temp/<random>      objects on their way in; what lies here at a start is from a crash, and is removed
//   <directory>/objects/ab/cdef..  one file an object, named by the SHA-256 of its name (object/object_file.h)
//
// A put is written to temp/, made durable, and renamed: after a crash a name leads to the old object or to the new one,
// whole. Names are only ever hashed and compared, never used as paths.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "object/object_store.h"

namespace gantry::object {

/// Opens the store, creating the directory (mode 0700; its parent must be there), and removes what a crash left in
/// temp/. Blocks: to be called before the io_context serves anybody. Throws Error(conflict) if another process has it
/// open, Error(unavailable) if the disk refuses.
///
/// The store is for the io_context thread; `env` must outlive it, and every body and put must have ended before it
/// goes.
std::unique_ptr<ObjectStore> make_file_store(Env& env, std::string directory);

}  // namespace gantry::object
