// Small tar archives for tests.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace gantry::agent {

/// One entry of a tar archive; `type` as in its header: '0' a file, '2' a symbolic link.
inline std::string tar_entry(std::string_view name, std::string_view content, char type = '0',
                             std::string_view link = "") {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  header.replace(124, 11, fmt::format("{:011o}", content.size()));
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(157, link.size(), link);
  unsigned sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
  std::string padding((512 - content.size() % 512) % 512, '\0');
  return header + std::string(content) + padding;
}

inline std::string tar_end() { return std::string(1024, '\0'); }

/// As docker save has it: an image of one layer.
inline std::string image_tar(std::string_view tag = "evil:latest", std::string_view layer = "layer bytes") {
  return tar_entry("abc/layer.tar", layer) + tar_entry("config-abc.json", "{}") +
         tar_entry("manifest.json", fmt::format(R"([{{"Config":"config-abc.json","RepoTags":["{}"],"Layers":)"
                                                R"(["abc/layer.tar"]}}])",
                                                tag)) +
         tar_entry("repositories", fmt::format(R"({{"{}":{{"latest":"abc"}}}})", tag)) + tar_end();
}

}  // namespace gantry::agent
