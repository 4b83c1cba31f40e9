// Every size, count and wait of the SQLite store.
#pragma once

#include <chrono>
#include <cstdint>

namespace gantry::store::sqlite {

inline constexpr int page_bytes = 4096;
inline constexpr int wal_frame_bytes = page_bytes + 24;
inline constexpr int writer_cache_kib = 2 * 1024;
inline constexpr int reader_cache_kib = 1024;
inline constexpr int readers_max = 4;
/// How long a read waits for one of the read connections before it gives up.
inline constexpr std::chrono::seconds reader_wait_max{10};
/// One read transaction of a scan sees at most so many rows; a longer one would hold up checkpoints.
inline constexpr std::size_t scan_step_rows = 1024;

/// How long SQLite waits for a lock that another program (a backup, a shell) holds on the file.
inline constexpr int busy_timeout_ms = 5'000;
/// How long a restarting checkpoint waits for readers; writes stand still meanwhile.
inline constexpr int checkpoint_busy_timeout_ms = 100;
/// Copy the log into the file, beside the writer, once so much of it has not been copied: small steps, because the
/// fsync of a large one holds up those of the writer (measured: 190 ms at worst with 16 MB, 35 ms with 4 MB).
inline constexpr std::int64_t wal_passive_bytes = 4 << 20;
/// Begin the log anew, with the writer waiting, once it is so long.
inline constexpr std::int64_t wal_restart_bytes = 64 << 20;
/// So much of the log may be left to copy while the writer waits, if so many passes beside it can get there.
inline constexpr std::int64_t wal_rest_bytes = 2 << 20;
inline constexpr int passive_passes_max = 4;
/// A writer that is faster than the copying waits for it while the log is longer than this.
inline constexpr std::int64_t wal_hold_bytes = 2 * wal_restart_bytes;
inline constexpr std::chrono::seconds writer_wait_max{5};
/// A log file that grew beyond this is cut back when it begins anew.
inline constexpr std::int64_t wal_keep_bytes = 96 << 20;
/// Warn at this length, and at each doubling: somebody holds a read transaction open.
inline constexpr std::int64_t wal_alarm_bytes = 512 << 20;
/// After a checkpoint that could not finish, the next one waits so long.
inline constexpr std::chrono::milliseconds checkpoint_retry_delay{1'000};

/// How often the writer looks for the next batch before it sleeps: at most 20 us (a pause is 10 to 50 ns).
inline constexpr int writer_spins = 400;

}  // namespace gantry::store::sqlite
