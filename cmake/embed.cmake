# gantry_embed(target folder): the .json files of a folder as C++ that returns them (see
# src/server/api/references.h). The file is written anew when one of them changes.
function(gantry_embed target folder)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.json")
  set(generated "${CMAKE_BINARY_DIR}/generated/embedded_${folder}.cc")
  add_custom_command(
    OUTPUT "${generated}"
    COMMAND ${CMAKE_COMMAND} "-DFOLDER=${CMAKE_SOURCE_DIR}/${folder}" "-DOUT=${generated}" -P "${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake"
    DEPENDS ${files} "${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake"
    COMMENT "Embedding ${folder}/"
    VERBATIM)
  target_sources(${target} PRIVATE "${generated}")
endfunction()
