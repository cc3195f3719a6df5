/**
 * JSON Schemas of wire types, read off the types themselves with their doc comments. Type nodes are
 * followed as they are written, so that what has a name in the contract has it in the schema; what the
 * compiler has to work out first (mapped types, intersections) is taken as it comes to.
 */
import * as path from 'node:path'
import ts from 'typescript'

const ROOT = path.resolve(import.meta.dirname, '../..')

export type JsonSchema = Record<string, unknown>

/** A union of more object types than this gets a name for each member that says its type. */
const INLINE_MEMBERS_MAX = 12

/** All schemas that the interface leads to, by name; those of a field `actions` as `actions.<name>`. */
export function schemasOf(file: string, rootInterface: string): Record<string, JsonSchema> {
  const name = path.join(ROOT, file)
  const config = ts.readConfigFile(path.join(ROOT, 'tsconfig.json'), (at) => ts.sys.readFile(at))
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT)
  const program = ts.createProgram([name], { ...options, noEmit: true })
  const source = program.getSourceFile(name)
  if (source === undefined) throw new Error(`no file ${file}`)
  return new Walk(program.getTypeChecker()).roots(source, rootInterface)
}

class Walk {
  readonly #checker: ts.TypeChecker
  readonly #schemas: Record<string, JsonSchema> = {}
  /** Which declaration a name stands for: two types of one name would be one schema. */
  readonly #owners = new Map<string, ts.Node>()

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker
  }

  roots(source: ts.SourceFile, rootInterface: string): Record<string, JsonSchema> {
    const found = source.statements.find(
      (one): one is ts.InterfaceDeclaration =>
        ts.isInterfaceDeclaration(one) && one.name.text === rootInterface,
    )
    if (found === undefined) throw new Error(`no interface ${rootInterface}`)
    for (const symbol of this.#checker.getPropertiesOfType(
      this.#checker.getTypeAtLocation(found),
    )) {
      if (symbol.name === 'actions') {
        for (const action of this.#checker.getPropertiesOfType(this.#typeOf(symbol))) {
          this.#schemas[`actions.${action.name}`] = this.#ofType(this.#typeOf(action))
        }
        continue
      }
      const schema = this.#property(symbol)
      // A root whose type has its own name is there under it already.
      if (schema['$ref'] !== ref(symbol.name)) this.#schemas[symbol.name] = schema
    }
    const names = Object.keys(this.#schemas).sort()
    return Object.fromEntries(names.map((name) => [name, this.#schemas[name] ?? {}]))
  }

  // ---------------------------------------------------------------- types as written

  #ofNode(node: ts.TypeNode): JsonSchema {
    if (ts.isParenthesizedTypeNode(node)) return this.#ofNode(node.type)
    if (ts.isArrayTypeNode(node)) return { type: 'array', items: this.#ofNode(node.elementType) }
    if (ts.isTypeOperatorNode(node) && node.operator === ts.SyntaxKind.ReadonlyKeyword) {
      return this.#ofNode(node.type)
    }
    if (ts.isUnionTypeNode(node)) return union(node.types.map((one) => this.#ofNode(one)))
    if (ts.isTypeReferenceNode(node) && node.typeArguments === undefined) {
      const named = this.#named(node)
      if (named !== null) return named
    }
    return this.#ofType(this.#checker.getTypeFromTypeNode(node))
  }

  /** A reference to the schema of a named type; null for what is no plain name of ours. */
  #named(node: ts.TypeReferenceNode): JsonSchema | null {
    const at = this.#checker.getSymbolAtLocation(node.typeName)
    if (at === undefined) return null
    const symbol = at.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(at) : at
    const declaration = symbol.declarations?.find(
      (one) => ts.isInterfaceDeclaration(one) || ts.isTypeAliasDeclaration(one),
    )
    if (declaration === undefined || declaration.typeParameters !== undefined) return null
    const { name } = symbol
    const owner = this.#owners.get(name)
    if (owner !== undefined && owner !== declaration) throw new Error(`two types are named ${name}`)
    if (owner === undefined) {
      this.#owners.set(name, declaration)
      const schema = ts.isTypeAliasDeclaration(declaration)
        ? this.#alias(name, declaration)
        : this.#ofType(this.#checker.getTypeAtLocation(declaration))
      this.#schemas[name] = describe(schema, this.#doc(symbol))
    }
    return { $ref: ref(name) }
  }

  #alias(name: string, declaration: ts.TypeAliasDeclaration): JsonSchema {
    const type = this.#checker.getTypeAtLocation(declaration)
    const members = type.isUnion() ? type.types : []
    const isLong = members.length > INLINE_MEMBERS_MAX
    if (
      !isLong ||
      !members.every((one) => one.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection))
    )
      return this.#ofNode(declaration.type)
    return {
      anyOf: members.map((member) => {
        const schema = this.#ofType(member)
        const own = `${name}.${tagOf(schema)}`
        if (this.#schemas[own] !== undefined) throw new Error(`two members of ${name} are ${own}`)
        this.#schemas[own] = schema
        return { $ref: ref(own) }
      }),
    }
  }

  // ---------------------------------------------------------------- types as the compiler has them

  #ofType(type: ts.Type): JsonSchema {
    const { flags } = type
    if (flags & ts.TypeFlags.Unknown) return {}
    if (flags & ts.TypeFlags.Null) return { type: 'null' }
    if (type.isStringLiteral() || type.isNumberLiteral()) return { enum: [type.value] }
    if (flags & ts.TypeFlags.BooleanLiteral) {
      return { enum: [this.#checker.typeToString(type) === 'true'] }
    }
    if (flags & ts.TypeFlags.Boolean) return { type: 'boolean' }
    if (flags & ts.TypeFlags.String) return { type: 'string' }
    if (flags & ts.TypeFlags.Number) return { type: 'number' }
    if (type.isUnion()) {
      const members = type.types.filter((one) => !(one.flags & ts.TypeFlags.Undefined))
      return union(members.map((one) => this.#ofType(one)))
    }
    if (this.#checker.isTupleType(type)) return this.#tuple(type as ts.TypeReference)
    if (this.#checker.isArrayType(type)) {
      const [element] = this.#checker.getTypeArguments(type as ts.TypeReference)
      return { type: 'array', items: element === undefined ? {} : this.#ofType(element) }
    }
    if (flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) return this.#object(type)
    throw new Error(`no schema for the type ${this.#checker.typeToString(type)}`)
  }

  #tuple(type: ts.TypeReference): JsonSchema {
    const elements = this.#checker.getTypeArguments(type).map((one) => this.#ofType(one))
    const count = elements.length
    return { type: 'array', prefixItems: elements, items: false, minItems: count, maxItems: count }
  }

  #object(type: ts.Type): JsonSchema {
    if (type.getCallSignatures().length > 0) throw new Error('a function does not go over the wire')
    const symbols = this.#checker.getPropertiesOfType(type)
    const index = type.getStringIndexType()
    const properties = Object.fromEntries(symbols.map((one) => [one.name, this.#property(one)]))
    const required = symbols
      .filter((one) => !(one.flags & ts.SymbolFlags.Optional))
      .map((one) => one.name)
    const isClosed = index === undefined || Boolean(index.flags & ts.TypeFlags.Never)
    return {
      type: 'object',
      ...(symbols.length === 0 ? {} : { properties }),
      ...(required.length === 0 ? {} : { required }),
      additionalProperties: isClosed ? false : this.#ofType(index),
    }
  }

  #property(symbol: ts.Symbol): JsonSchema {
    const type = this.#typeOf(symbol)
    const declaration = symbol.valueDeclaration
    const node =
      declaration !== undefined && ts.isPropertySignature(declaration)
        ? declaration.type
        : undefined
    // Of a mapped type the declaration is another's, whose type may not be the one it comes to.
    const isAsWritten =
      node !== undefined && this.#checker.getTypeFromTypeNode(node) === this.#withoutUndefined(type)
    return describe(isAsWritten ? this.#ofNode(node) : this.#ofType(type), this.#doc(symbol))
  }

  #withoutUndefined(type: ts.Type): ts.Type {
    if (!type.isUnion()) return type
    const members = type.types.filter((one) => !(one.flags & ts.TypeFlags.Undefined))
    return members.length === 1 && members[0] !== undefined ? members[0] : type
  }

  #typeOf(symbol: ts.Symbol): ts.Type {
    return this.#checker.getTypeOfSymbol(symbol)
  }

  #doc(symbol: ts.Symbol): string {
    return ts.displayPartsToString(symbol.getDocumentationComment(this.#checker)).trim()
  }
}

function ref(name: string): string {
  return `#/components/schemas/${name}`
}

function describe(schema: JsonSchema, description: string): JsonSchema {
  return description === '' ? schema : { description: description.replace(/\s+/g, ' '), ...schema }
}

/** Literals together as one list; one of anything else needs no list. */
function union(members: JsonSchema[]): JsonSchema {
  const literals = members.flatMap((one) => (isLiteral(one) ? one.enum : []))
  const others = members.filter((one) => !isLiteral(one))
  const types = others.map((one) => one['type'])
  const unique = others.filter((_, i) => types[i] !== 'boolean' || types.indexOf('boolean') === i)
  const list: JsonSchema[] =
    literals.length === 0
      ? unique
      : literals.includes(true) && literals.includes(false) && literals.length === 2
        ? [{ type: 'boolean' }, ...unique]
        : [{ enum: literals }, ...unique]
  const [only] = list
  return list.length === 1 && only !== undefined ? only : { anyOf: list }
}

function isLiteral(schema: JsonSchema): schema is { enum: unknown[] } {
  return Array.isArray(schema['enum']) && Object.keys(schema).length === 1
}

/** "pass_done": the one literal of the field `type` or `kind`. */
function tagOf(schema: JsonSchema): string {
  const properties = (schema['properties'] ?? {}) as Record<string, { enum?: unknown[] }>
  for (const field of ['type', 'kind']) {
    const values = properties[field]?.enum
    if (values?.length === 1) return String(values[0])
  }
  throw new Error(`a member without a type or kind: ${JSON.stringify(schema).slice(0, 200)}`)
}
