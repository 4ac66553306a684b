/* table.c - growing arrays; see table.h. */
#include "matcher/table.h"

#include "base/mem.h"

enum table_status table_reserve(void **table, uint32_t *room, uint32_t wanted, uint32_t limit, size_t size)
{
    if (wanted <= *room)
        return TABLE_OK;
    if (wanted > limit)
        return TABLE_LIMIT;
    uint32_t more = *room > limit / 2 ? limit : *room * 2;
    more = more < wanted ? wanted : more;
    more = more < 64 ? 64 : more;
    void *const grown = mem_grow(*table, *room, more, size);
    if (!grown)
        return TABLE_MEMORY;
    *table = grown;
    *room = more;
    return TABLE_OK;
}
