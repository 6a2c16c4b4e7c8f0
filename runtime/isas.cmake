# Reads the table of instruction sets, include/alcs/isas.inc, for the architecture that is compiled
# for. Sets ALCS_ISAS, the names, and for each NAME of them ALCS_ISA_KERNELS_NAME, its file in
# src/kernels, and ALCS_ISA_FLAGS_NAME, a list.
set(alcs_isa_table "${CMAKE_CURRENT_LIST_DIR}/include/alcs/isas.inc")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${alcs_isa_table}")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(alcs_architecture x86_64)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(alcs_architecture aarch64)
else()
  set(alcs_architecture other)
endif()

file(READ "${alcs_isa_table}" alcs_isa_text)
# name, id, architecture, "kernels", "flags"
set(alcs_isa_row
    "\nALCS_ISA\\(([a-z0-9_]+),[ \n]+k[A-Za-z0-9]+,[ \n]+([a-z0-9_]+),[ \n]+\"([^\"]+)\",[ \n]+\"([^\"]*)\",")
string(REGEX MATCHALL "${alcs_isa_row}" alcs_isa_rows "${alcs_isa_text}")
string(REGEX MATCHALL "\nALCS_ISA\\(" alcs_isa_starts "${alcs_isa_text}")
list(LENGTH alcs_isa_rows alcs_isa_read)
list(LENGTH alcs_isa_starts alcs_isa_written)
if(NOT alcs_isa_read EQUAL alcs_isa_written)
  message(FATAL_ERROR "${alcs_isa_table}: ${alcs_isa_written} rows, of which ${alcs_isa_read} "
                      "begin as they should: name, id, architecture, \"kernels\", \"flags\"")
endif()
set(ALCS_ISAS "")
foreach(row ${alcs_isa_rows})
  string(REGEX MATCH "${alcs_isa_row}" row "${row}")
  set(name "${CMAKE_MATCH_1}")
  set(ALCS_ISA_KERNELS_${name} "${CMAKE_MATCH_3}")
  separate_arguments(ALCS_ISA_FLAGS_${name} UNIX_COMMAND "${CMAKE_MATCH_4}")
  if(CMAKE_MATCH_2 MATCHES "^(any|${alcs_architecture})$")
    list(APPEND ALCS_ISAS ${name})
  endif()
endforeach()
