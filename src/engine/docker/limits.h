// Bounds of everything that waits for, or comes from, a Docker engine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace gantry::engine::docker {

// Versions of the Docker Engine API, as major * 1000 + minor. Docker 18.09 speaks 1.39 and is the first with the log
// driver that we need; Docker 29 refuses below 1.44.
inline constexpr int api_version_min = 1039;
inline constexpr int api_version_max = 1044;

// For one request up to its answer's header, and for each read of the answer's body.
inline constexpr Duration ping_timeout = seconds(10);
inline constexpr Duration call_timeout = seconds(30);
inline constexpr Duration archive_timeout = seconds(60);      // the engine stats and tars large trees before it answers
inline constexpr Duration copy_in_timeout = minutes(30);      // the whole archive
inline constexpr Duration image_load_timeout = hours(1);      // the whole archive, and until it is unpacked
inline constexpr Duration image_save_timeout = minutes(30);   // the engine copies every layer before it answers
inline constexpr Duration commit_timeout = minutes(30);       // it copies all that the container has written
inline constexpr Duration removal_timeout = minutes(10);      // of an image or a volume: a file after the other
inline constexpr Duration pull_silence_timeout = minutes(5);  // without a single line of progress
inline constexpr Duration wait_round_timeout = minutes(1);    // then the wait is asked again
inline constexpr Duration follow_silence_timeout = days(30);  // a followed log may be silent as long as its container

inline constexpr int remove_attempts_max = 20;
inline constexpr Duration remove_retry_delay_min = milliseconds(50);
inline constexpr Duration remove_retry_delay_max = seconds(1);

inline constexpr Duration exec_poll_delay_min = milliseconds(10);
inline constexpr Duration exec_poll_delay_max = seconds(1);
inline constexpr int terminal_side_max = 65535;
inline constexpr std::size_t shown_command_bytes_max = 80;

inline constexpr int network_attempts_max = 10;
inline constexpr Duration network_retry_delay_max = milliseconds(250);

inline constexpr std::size_t answer_bytes_max = 4u << 20;  // of any one object
inline constexpr std::size_t list_bytes_max = 64u << 20;   // about 30,000 containers
inline constexpr std::size_t error_bytes_max = 64u << 10;
inline constexpr std::size_t error_text_bytes_max = 2048;  // of an engine's message that goes into ours

inline constexpr std::size_t pull_line_bytes_max = 64u << 10;
inline constexpr std::size_t pull_layers_max = 1024;  // Docker itself stops at 127
inline constexpr Duration pull_progress_interval = seconds(5);

inline constexpr std::size_t image_reference_bytes_max = 1024;
inline constexpr std::size_t name_bytes_max = 255;         // of a container, a volume, a network
inline constexpr std::size_t containers_known_max = 4096;  // whose terminals need not be asked for

}  // namespace gantry::engine::docker
