/** The OpenAPI document of the REST API, and its browsable page at /docs. Refuses to describe what is not under /v1. */
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

/** The document alone; docs/reference/openapi.json is this. */
export function buildOpenApi(app: NestFastifyApplication): OpenAPIObject {
  const info = new DocumentBuilder()
    .setTitle('Sallyport')
    .setDescription(
      'Privileged access for AI agents, services and people. Errors are RFC 9457 problems with stable codes.',
    )
    .setVersion('v1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API token (`sp_…`).' })
    .addSecurityRequirements('bearer')
    .build();
  return SwaggerModule.createDocument(app, info, {
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
}

/** Serves /openapi.json and /docs. */
export function serveOpenApi(app: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, () => buildOpenApi(app), {
    jsonDocumentUrl: 'openapi.json',
    customSiteTitle: 'Sallyport REST API',
  });
}
