// What all runs of an agent share, and the container that it asks the engine for.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/observer.h"
#include "agent/server_api.h"
#include "agent/side_container_settings.h"
#include "engine/engine.h"
#include "net/http_client.h"
#include "wire/payload.h"

namespace gantry::agent {

class CacheStore;
class Feature;
class ImageStore;
class Isolation;
class Registries;
class ShellDesk;
class DeviceStore;
class OpenPgpKey;
class SigningKey;
class TaskProxy;

/// What all runs of an agent share.
struct RunSettings {
  std::string agent_id;
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  std::string host_name;  // told in logs; empty: not known
  std::string public_ip;  // likewise
  std::string spool_directory;
  std::string network;  // that containers are attached to
  std::int64_t log_bytes_max = 0;
  bool allow_privileged = false;
  std::string dind_image;                         // with a container engine in it; empty: features.dind is refused
  SideContainerList side_containers;              // those that a task may ask for
  std::string side_directory;                     // absolute; folders shared with them
  bool superseder_anywhere = false;               // supersederUrl may lead to this machine
  Isolation* isolation = nullptr;                 // null: nothing keeps containers from this machine
  const Registries* registries = nullptr;         // null: side containers' images are pulled without credentials
  CacheStore* caches = nullptr;                   // never null in an agent
  TaskProxy* proxy = nullptr;                     // never null in an agent
  DeviceStore* devices = nullptr;                 // likewise
  std::shared_ptr<const SigningKey> signing_key;  // null: this worker signs nothing
  std::shared_ptr<const OpenPgpKey> secrets_key;  // null: it cannot read payload.encryptedEnv
  ImageStore* images = nullptr;                   // where images come from; always set
  ShellDesk* shells = nullptr;                    // never null in an agent
  Signer agent_signer;                            // for a run whose own credentials have run out
  Observer observer{};                            // told what happens; may be null
  std::function<void()> engine_away;              // told whenever the engine does not answer
  /// For tests: who answers where a task's URL leads.
  std::function<std::shared_ptr<net::Transport>(const net::Endpoint&)> outside = {};
  /// For tests: adds to a run's features.
  std::function<void(std::vector<std::unique_ptr<Feature>>&)> more_features = {};
};

/// Labels of a run's container.
inline constexpr const char* agent_label = "gantry.agent";
inline constexpr const char* task_label = "gantry.task";
inline constexpr const char* run_label = "gantry.run";

/// The run whose container carries these; nothing if they are not a run's.
std::optional<wire::RunRef> run_of_labels(const std::map<std::string, std::string>& labels);

std::string container_name(wire::RunRef run);
/// A file of the run's own in the folder of spools: "<task>-<run>.<extension>". What is left there of runs that are
/// over is removed when the agent starts.
std::string run_file_name(wire::RunRef run, std::string_view extension);
inline constexpr std::string_view spool_extension = "spool";
inline constexpr std::string_view bulk_log_extension = "log.gz";

/// The payload's container. `plan` is what features add to it, with the image that is to be run: its variables give way
/// to the task's own, and both to those that a task cannot override (taskcluster.md 1.1); its labels to ours.
engine::ContainerSpec container_spec(const RunSettings& settings, wire::RunRef run, const wire::Payload& payload,
                                     engine::ContainerSpec plan, const std::string& root_url);

}  // namespace gantry::agent
