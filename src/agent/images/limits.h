// Bounds and waits of what gets images for tasks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::agent {

inline constexpr int images_at_once_max = 4;                     // pulls and loads; others wait their turn
inline constexpr Duration image_time_max = minutes(30);          // for one image, all tries together
inline constexpr Duration image_stall_max = minutes(5);          // without any progress; then that try has failed
inline constexpr Duration image_progress_interval = seconds(5);  // between lines in a task's log
inline constexpr int image_tries_max = 4;
inline constexpr int image_stalls_max = 2;  // of these
inline constexpr Duration image_retry_delay_min = seconds(2);
inline constexpr Duration image_retry_delay_max = seconds(30);
inline constexpr int image_checks_max = 3;  // of what is there and what is allowed, before anything is fetched

inline constexpr int redirects_max = 5;
inline constexpr std::size_t refusal_bytes_max = 64u << 10;  // of an answer that says why there is no artifact

inline constexpr std::int64_t archive_bytes_max = std::int64_t{64} << 30;   // of an image's archive, unpacked
inline constexpr std::int64_t disk_free_bytes_min = std::int64_t{1} << 30;  // left on the disk while one is spooled
inline constexpr std::int64_t disk_check_bytes = std::int64_t{32} << 20;    // written between two looks at that
inline constexpr std::size_t archive_entries_max = 20'000;
inline constexpr std::size_t archive_links_max = 16;  // that lead from one to the next
inline constexpr std::size_t manifest_bytes_max = 1u << 20;
inline constexpr std::size_t image_layers_max = 1024;  // Docker itself stops at 127
inline constexpr std::size_t piece_bytes_max = 64u << 10;

inline constexpr std::size_t registries_bytes_max = 1u << 20;
inline constexpr std::size_t registries_max = 1000;
inline constexpr std::size_t mirrors_max = 16;  // of one registry

inline constexpr std::size_t images_listed_max = 10'000;
inline constexpr std::size_t image_list_bytes_max = 16u << 20;
inline constexpr Duration image_list_interval = minutes(10);  // a use is written down at most this much later

}  // namespace gantry::agent
