// The engine's images: pull, load, save, tag, list, remove, commit. engine.h has the contract of each.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/docker/requests.h"

namespace gantry::engine::docker {

class Images {
 public:
  explicit Images(std::shared_ptr<Requests> requests) : requests_(std::move(requests)) {}

  Async<std::optional<ImageInfo>> inspect(std::string image);
  Async<> pull(std::string image, std::optional<RegistryLogin> login, std::function<void(std::string)> progress);
  Async<std::vector<ImageInfo>> list();
  Async<std::vector<std::string>> load(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes);
  Async<std::shared_ptr<net::BodyReader>> save(std::string image);
  Async<> tag(std::string id, std::string reference);
  Async<> remove(std::string reference);
  Async<std::string> commit(std::string container, std::string reference);

 private:
  std::shared_ptr<Requests> requests_;
};

}  // namespace gantry::engine::docker
