// How the tables of the state lie in an SQLite file, which files are ours, and how an older file becomes a current one.
//
// A by_sequence table is keyed by SQLite's row number, so that what is written in order of arrival is appended; the
// others are WITHOUT ROWID. Keys and values are TEXT, readable in a shell; the order of names is that of their bytes.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/state/write.h"
#include "store/sqlite/database.h"

namespace gantry::store::sqlite {

/// "GNTR", in the header of the file (file(1) shows it).
inline constexpr std::int32_t application_id = 0x474e5452;

/// Changes a file of one format into the next; runs inside a transaction. Throws Error.
using Migration = std::function<void(Database&)>;
/// From format 1 to 2, from 2 to 3, ... The current format is one more than there are migrations. A new table does not
/// need one; a table or a record that changes its meaning does.
const std::vector<Migration>& migrations();

/// Refuses a file that is not ours (invalid_input), newer than this build (unsupported) or damaged (corrupt); until
/// then nothing of it is changed. Then turns on the write-ahead log, creates what is missing and migrates, each
/// migration in a transaction of its own. Returns true if the file was empty before.
bool prepare_schema(Database& database, std::span<const Migration> steps = migrations());

enum class Verb {
  put,            // sequence, name, value
  erase,          // sequence, name
  erase_through,  // sequence: everything up to it
  read,           // sequence, name -> value
  scan_first,     // limit -> sequence, name, value
  scan_after,     // sequence, name, limit -> sequence, name, value
};
// The parameters of every statement; a table without one of the two keys ignores it.
inline constexpr int sequence_parameter = 1;
inline constexpr int name_parameter = 2;
inline constexpr int value_parameter = 3;
inline constexpr int limit_parameter = 4;

std::string table_sql(const state::TableInfo& table, Verb verb);

/// The parameters of `key` that the table has. The name is not copied.
void bind_key(Statement& statement, const state::TableInfo& table, const state::Key& key);

}  // namespace gantry::store::sqlite
