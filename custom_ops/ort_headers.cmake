# Finds ONNX Runtime's C header, which no onnxruntime wheel carries, in this order:
#   1. -DALCS_ORT_INCLUDE_DIR=DIR, the folder that holds onnxruntime_c_api.h;
#   2. a header installed on the system (for example by a -dev package);
#   3. a pinned wheel on the package index that happens to ship the header of API 17.
# Sets ALCS_ORT_INCLUDE_DIR, or stops with an error that names all three.

set(ALCS_ORT_MINIMUM_API 17)
set(ALCS_ORT_HEADER_WHEEL "amd-quark==0.13")
set(ALCS_ORT_HEADER_WHEEL_SHA256
    3b3e58a4cbbcff20d27815b641aa4de4d698efde3c782306cb4a6a05bcf55c8c)

# The API version that the header in `dir` declares, or 0 when there is no such header.
function(alcs_ort_header_api dir out)
  set(${out} 0 PARENT_SCOPE)
  if(EXISTS "${dir}/onnxruntime_c_api.h")
    file(STRINGS "${dir}/onnxruntime_c_api.h" line REGEX "^#define ORT_API_VERSION [0-9]+")
    if(line MATCHES "ORT_API_VERSION ([0-9]+)")
      set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
    endif()
  endif()
endfunction()

# Downloads the pinned wheel, checks its digest, and unpacks it below the build tree.
function(alcs_download_ort_header out)
  set(${out} "" PARENT_SCOPE)
  set(root "${CMAKE_BINARY_DIR}/ort-headers")
  file(GLOB_RECURSE found "${root}/*/onnxruntime_c_api.h")
  if(NOT found)
    find_package(Python3 COMPONENTS Interpreter)
    if(NOT Python3_Interpreter_FOUND)
      return()
    endif()
    message(STATUS "ONNX Runtime C header: downloading ${ALCS_ORT_HEADER_WHEEL}")
    # -I: inside pip's isolated builds PYTHONPATH hides the environment that has pip.
    execute_process(
      COMMAND "${CMAKE_COMMAND}" -E env --unset=PIP_CONSTRAINT
              "${Python3_EXECUTABLE}" -I -m pip download --quiet --no-deps
              --only-binary=:all: --dest "${root}" ${ALCS_ORT_HEADER_WHEEL}
      RESULT_VARIABLE status ERROR_VARIABLE error)
    if(NOT status EQUAL 0)
      message(STATUS "ONNX Runtime C header: the download failed: ${error}")
      return()
    endif()
    file(GLOB wheel "${root}/*.whl")
    file(SHA256 "${wheel}" digest)
    if(NOT digest STREQUAL ALCS_ORT_HEADER_WHEEL_SHA256)
      file(REMOVE "${wheel}")
      message(FATAL_ERROR "${ALCS_ORT_HEADER_WHEEL} has the SHA-256 digest ${digest}, but "
                          "${ALCS_ORT_HEADER_WHEEL_SHA256} is expected; it is not used")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${wheel}" DESTINATION "${root}/unpacked"
         PATTERNS "*/onnxruntime/core/session/*.h")
    file(GLOB_RECURSE found "${root}/*/onnxruntime_c_api.h")
  endif()
  if(found)
    list(GET found 0 header)
    get_filename_component(header "${header}" DIRECTORY)
    set(${out} "${header}" PARENT_SCOPE)
  endif()
endfunction()

function(alcs_find_ort_headers)
  if(NOT ALCS_ORT_INCLUDE_DIR)
    find_path(ALCS_ORT_SYSTEM_INCLUDE_DIR onnxruntime_c_api.h
              PATH_SUFFIXES onnxruntime onnxruntime/core/session)
    mark_as_advanced(ALCS_ORT_SYSTEM_INCLUDE_DIR)
    set(dir "${ALCS_ORT_SYSTEM_INCLUDE_DIR}")
    alcs_ort_header_api("${dir}" api)
    if(api LESS ALCS_ORT_MINIMUM_API)
      alcs_download_ort_header(dir)
    endif()
  else()
    set(dir "${ALCS_ORT_INCLUDE_DIR}")
  endif()
  alcs_ort_header_api("${dir}" api)
  if(api LESS ALCS_ORT_MINIMUM_API)
    message(FATAL_ERROR
      "No onnxruntime_c_api.h of API ${ALCS_ORT_MINIMUM_API} or newer was found (looked in "
      "\"${dir}\"). Do one of these:\n"
      "  - pass -DALCS_ORT_INCLUDE_DIR=DIR, the folder that holds onnxruntime_c_api.h;\n"
      "  - install the header on the system (a package such as libonnxruntime-dev);\n"
      "  - let this build run 'pip download ${ALCS_ORT_HEADER_WHEEL}' (it needs Python "
      "with pip, and a package index).\n"
      "Or build the engine alone: -DALCS_BUILD_CUSTOM_OPS=OFF.")
  endif()
  message(STATUS "ONNX Runtime C header: API ${api} in ${dir}")
  set(ALCS_ORT_INCLUDE_DIR "${dir}" PARENT_SCOPE)
endfunction()
